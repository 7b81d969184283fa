"""For any secret and any text around it, no registered form of the secret is left."""

import base64
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from trunkline.telemetry.redact import Redactor, escape

secrets = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=8, max_size=40)
texts = st.text(st.sampled_from("ab =/&\n"), max_size=20)


@given(secret=secrets, before=texts, after=texts)
def test_no_form_is_left(secret, before, after):
    redactor = Redactor()
    redactor.register([secret])
    encoded = base64.b64encode(secret.encode()).decode()
    for form in (secret, quote(secret, safe=""), encoded):
        assert form not in redactor.clean(f"{before}{form}{after}").replace("•••", "")


@given(st.text())
def test_escaped_text_is_one_line_that_can_be_stored(text):
    shown = escape(text)
    assert len(shown.splitlines()) <= 1
    shown.encode()
