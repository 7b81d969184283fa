"""Guide 000: what the site is asked over HTTP."""

from trunkline.guides.boss import get_user_info, get_wt2, upload_image

__all__ = ["get_user_info", "get_wt2", "upload_image"]
