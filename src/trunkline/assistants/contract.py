"""What the rest of the house sees of a model."""

from __future__ import annotations

from typing import Protocol

from trunkline.model.asking import Answer, Question


class Assistant(Protocol):
    """One model behind its breaker and its limits."""

    @property
    def timeout_s(self) -> float:
        """How long one answer may take."""
        ...

    @property
    def trouble(self) -> str:
        """Why it is not asked at the moment, "" when it is: for `/readyz`."""
        ...

    async def ask(self, question: Question) -> Answer:
        """Answer a question about a conversation; never raises for what the service does."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...
