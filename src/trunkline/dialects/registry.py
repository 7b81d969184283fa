"""The dialects that exist: an explicit table. Nothing else names them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trunkline.dialects.boss import BOSS
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contract import Dialect
from trunkline.dialects.maim import MAIM
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.xianyu import XIANYU

DIALECTS: Final[Mapping[str, Dialect]] = {
    dialect.name: dialect for dialect in (BOSS, CONTACT, MAIM, ONEBOT11, XIANYU)
}
