#!/usr/bin/env python3
"""grpc.health.v1 Check over a plain socket, as a kubelet's probe does it.

  grpc_health.py HOST:PORT SERVICE    exits 0 if the service is SERVING

One request on one connection: the client preface, a HEADERS frame whose fields
are literals without Huffman coding, a DATA frame. Of the answer only the DATA
frame is read: an error has none.
"""

import socket
import struct
import sys

SERVING = 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1


def _frame(kind, flags, stream, payload):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
            + struct.pack(">I", stream) + payload)


def _literal(name, value):
    """A header field for HPACK: never indexed, plain text, under 127 bytes."""
    return (b"\x10" + bytes([len(name)]) + name.encode()
            + bytes([len(value)]) + value.encode())


def _request(service, authority):
    headers = b"".join(_literal(name, value) for name, value in (
        (":method", "POST"), (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"), (":authority", authority),
        ("content-type", "application/grpc"), ("te", "trailers")))
    name = service.encode()
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    body = b"\0" + struct.pack(">I", len(message)) + message
    return (_PREFACE + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, headers)
            + _frame(_DATA, _END_STREAM, 1, body))


def _read(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError("the server closed the connection")
        data += part
    return data


def parse_status(body):
    """The status number in a framed HealthCheckResponse."""
    message = body[5:5 + struct.unpack(">I", body[1:5])[0]]
    return message[1] if message[:1] == b"\x08" else 0


def check(host, port, service, timeout=1.0):
    """The status of a service: 1 is SERVING. None: it was refused (the service
    is unknown). OSError: nothing answers."""
    with socket.create_connection((host, port), timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(_request(service, f"{host}:{port}"))
        body = b""
        while True:
            head = _read(connection, 9)
            length = int.from_bytes(head[:3], "big")
            kind, flags = head[3], head[4]
            payload = _read(connection, length)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                connection.sendall(_frame(_PING, _ACK, 0, payload))
            elif kind == _DATA:
                body += payload
            ended = kind in (_DATA, _HEADERS) and flags & _END_STREAM
            if ended or kind in (_RST_STREAM, _GOAWAY):
                return parse_status(body) if body else None


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    host, _, port = sys.argv[1].rpartition(":")
    try:
        status = check(host, int(port), sys.argv[2])
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    if status != SERVING:
        sys.exit(f"{sys.argv[1]}: '{sys.argv[2]}' has status {status}")


if __name__ == "__main__":
    main()
