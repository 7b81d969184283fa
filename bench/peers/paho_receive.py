"""A client of Boss on paho-mqtt 2.2, as its users write one; runs in paho's own environment.

Receives over a WebSocket or plain TCP, decodes the protobuf with the official runtime, looks at the
text; paho acknowledges. Prints the CPU µs that its process needs for a message.
"""

import json
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def load_schema(path):
    """Return the class of a payload."""
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(Path(path).read_bytes())
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("TechwolfChatProtocol"))


class Counter:
    """Counts messages, and the CPU time between the warm-up and the last one."""

    def __init__(self, warm, messages, payload):
        self.left = warm + messages
        self.start_at = messages
        self.messages = messages
        self.payload = payload
        self.start_s = 0.0
        self.texts = 0

    def message(self, client, _user, message):
        """Decode one message."""
        chat = self.payload.FromString(message.payload)
        if chat.messages[0].body.text:
            self.texts += 1
        self.left -= 1
        if self.left == self.start_at:
            self.start_s = time.process_time()
        if self.left == 0:
            self.used_s = time.process_time() - self.start_s
            client.disconnect()


def main():
    """Receive until all have come."""
    port, warm, messages = map(int, sys.argv[1:4])
    counter = Counter(warm, messages, load_schema(sys.argv[4]))
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id="ws-0123456789ABCDEF",
        transport={"websocket": "websockets", "tcp": "tcp"}[sys.argv[5]],
    )  # fmt: skip
    client.on_message = counter.message
    client.connect("127.0.0.1", port, keepalive=600)
    client.loop_forever(retry_first_connection=False)
    if counter.texts != warm + messages:
        sys.exit(f"{counter.texts} texts came")
    print(json.dumps({"us": counter.used_s / messages * 1e6}))


if __name__ == "__main__":
    main()
