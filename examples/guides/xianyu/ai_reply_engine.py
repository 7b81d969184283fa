"""Guide 001: what is said to a buyer. Put your model here, or give the product an `[assistant]`."""


async def generate_reply(message: str, item_id: str) -> str:
    """Return the answer; "" says nothing."""
    del item_id
    return f"收到：{message}"
