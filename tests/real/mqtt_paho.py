"""paho-mqtt 2.2 over WebSockets, run in its own environment by `test_mqtt_paho.py`.

The way of a user of the package: a client, its callbacks, `loop_start`. Orders come as JSON lines
on stdin, what happens leaves as JSON lines on stdout.
"""

import json
import sys

import paho.mqtt.client as mqtt


def say(what, **more):
    """Write one line."""
    sys.stdout.write(json.dumps({"what": what} | more) + "\n")
    sys.stdout.flush()


def make_client(order):
    """Return a client that says everything that happens to it."""
    version = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311}[order["level"]]
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=order["client_id"], transport="websockets",
        protocol=version, clean_session=order.get("is_clean", True),
    )  # fmt: skip
    client.username_pw_set("AbCdEfGhIjKlMnOp|0", "wt2")
    client.ws_set_options(path="/")
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda _c, _u, flags, code, _p: say(
        "connected", code=str(code), session=flags.session_present
    )
    client.on_disconnect = lambda _c, _u, _flags, code, _p: say("disconnected", code=str(code))
    client.on_publish = lambda _c, _u, mid, _code, _p: say("published", mid=mid)
    client.on_subscribe = lambda _c, _u, mid, codes, _p: say(
        "subscribed", mid=mid, codes=[code.value for code in codes]
    )
    client.on_unsubscribe = lambda _c, _u, mid, _codes, _p: say("unsubscribed", mid=mid)
    client.on_message = lambda _c, _u, message: say(
        "message",
        topic=message.topic,
        text=message.payload.decode(),
        qos=message.qos,
        dup=message.dup,
    )
    client.on_log = lambda _c, _u, _level, text: say("log", text=text)
    return client


def main():
    """Obey until stdin ends."""
    order = json.loads(sys.stdin.readline())
    client = make_client(order)
    client.connect("127.0.0.1", order["port"], keepalive=order["keepalive_s"])
    client.loop_start()
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "publish":
            client.publish(order["topic"], order["text"], qos=order["qos"])
        elif order["do"] == "subscribe":
            client.subscribe(order["topic"], order["qos"])
        elif order["do"] == "unsubscribe":
            client.unsubscribe(order["topic"])
        else:
            client.disconnect()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
