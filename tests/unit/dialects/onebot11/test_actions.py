"""Parameters of actions: every spelling that peers use."""

from __future__ import annotations

from typing import Any

import pytest

from onebot11_vectors import load, plain_segs
from trunkline.dialects.onebot11.actions import ACTIONS, QUICK, read_flag, read_message, read_params
from trunkline.errors import WireMalformed

BOOLEANS = load("boolean_spellings")


def test_the_whole_standard_is_here() -> None:
    assert len(ACTIONS.keys() - {QUICK, "get_supported_actions"}) == 38


@pytest.mark.parametrize("case", load("auto_escape"))
def test_auto_escape(case: dict[str, Any]) -> None:
    params = read_params("send_private_msg", case | {"user_id": 1})
    assert plain_segs(params["message"]) == case["segments"]


def test_auto_escape_means_nothing_for_a_list() -> None:
    message = [{"type": "text", "data": {"text": "[CQ:dice]"}}]
    assert plain_segs(read_message(message, is_plain=True)) == message
    assert plain_segs(read_message(message[0])) == message
    assert plain_segs(read_message(12)) == [{"type": "text", "data": {"text": "12"}}]


@pytest.mark.parametrize("value", BOOLEANS["true"])
def test_true(value: Any) -> None:
    assert read_flag(value) is True


@pytest.mark.parametrize("value", BOOLEANS["false"])
def test_false(value: Any) -> None:
    assert read_flag(value) is False


@pytest.mark.parametrize("value", ["maybe", 2, 1.5, [], {}])
def test_neither(value: Any) -> None:
    assert read_flag(value) is None
    with pytest.raises(WireMalformed, match="enable must be a boolean"):
        read_params("set_group_whole_ban", {"group_id": 1, "enable": value})


def test_defaults_and_conversions() -> None:
    assert read_params("set_group_ban", {"group_id": "7", "user_id": 8, "x": 1}) == {
        "group_id": "7", "user_id": "8", "duration": 1800,
    }  # fmt: skip
    wide = {"group_id": 2**70, "user_id": -3, "duration": "-60", "self_id": 5}
    assert read_params("set_group_ban", wide) == {
        "group_id": str(2**70), "user_id": "-3", "duration": -60,
    }  # fmt: skip
    assert read_params("set_group_card", {"group_id": 1, "user_id": 2, "card": 33})["card"] == "33"
    assert read_params("set_group_card", {"group_id": 1, "user_id": 2})["card"] == ""
    assert read_params("send_like", {"user_id": 1, "times": 3.0})["times"] == 3


def test_names_of_peers() -> None:
    params = read_params("set_group_add_request", {"flag": 5, "type": "add"})
    assert params == {"flag": "5", "sub_type": "add", "approve": True, "reason": ""}
    assert read_params("get_forward_msg", {"message_id": "a"}) == {"id": "a"}


@pytest.mark.parametrize(
    ("action", "params", "why"),
    [
        ("delete_msg", {}, "message_id is required"),
        ("delete_msg", {"message_id": ""}, "message_id is required"),
        (
            "delete_msg",
            {"message_id": 1.5},
            "message_id must be an id: a number, or text of letters, digits and _ : . -",
        ),
        ("set_group_ban", {"group_id": 1, "user_id": 2, "duration": "x"}, "duration must be"),
        ("set_group_ban", {"group_id": 1, "user_id": 2, "duration": True}, "duration must be"),
        ("set_group_name", {"group_id": 1, "group_name": {}}, "group_name must be"),
        ("send_msg", {"message": None}, "message is required"),
    ],
)
def test_what_is_wrong(action: str, params: Any, why: str) -> None:
    with pytest.raises(WireMalformed, match=why):
        read_params(action, params)


def test_an_unknown_action_keeps_its_parameters() -> None:
    assert read_params("_get_model_show", {"a": [1]}) == {"a": [1]}
