"""Where the platform of guide 001 is and who we are there.

`trunkline serve --guides` prints the line that sets both variables for its own marketplace.
"""

import os

WEBSOCKET_URL = os.environ.get("WEBSOCKET_URL", "wss://wss-goofish.dingtalk.com/")
COOKIES_STR = os.environ.get("COOKIES_STR", "")  # the whole Cookie header of the web page
TOKEN = os.environ.get("TOKEN", "")  # sent as the guide has it, when there is one

WEBSOCKET_HEADERS = {"Cookie": COOKIES_STR, "Origin": "https://www.goofish.com"}
if TOKEN:
    WEBSOCKET_HEADERS["Authorization"] = f"Bearer {TOKEN}"

HEARTBEAT_INTERVAL = 30
HEARTBEAT_TIMEOUT = 60
REPLY_URL = "http://127.0.0.1:8080/xianyu/reply"
