"""Guide 000: the settings: the picture of the resume, and whether it may be sent."""

from trunkline.guides.boss import ConfigManager, config_manager

__all__ = ["ConfigManager", "config_manager"]
