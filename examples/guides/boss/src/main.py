"""Guide 000: `python main.py COOKIES_FILE [RESUME_PICTURE]` prints what is said to the account.

The file has the cookies as a browser's developer tools show them. To try it without an account run
`trunkline emulate boss` and set BOSS_URL and BOSS_HTTP_URL to what it prints.
"""

import os
import sys

from utils.config_manager import config_manager
from utils.general import get_user_info
from utils.session_manager import session_manager
from ws_client import WsClient


def main(cookies_file: str, resume: str = "") -> None:
    session_manager.load(cookies_file)
    config_manager.update(resume_image_file=resume, send_resume_image=bool(resume))
    for key in ("url", "http_url"):
        if where := os.environ.get(f"BOSS_{key.upper()}"):
            config_manager.update(**{key: where})
    uid, info = get_user_info()
    print(f"登录为 {info['name']} ({uid})", flush=True)
    client = WsClient()
    client.start()
    try:
        client.join()
    except KeyboardInterrupt:
        client.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
