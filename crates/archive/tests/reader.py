#!/usr/bin/env python3
"""A reader of sealed archives that was written from docs/ARCHIVE.md alone: reader.py FILE PASSPHRASE > container

It is here to prove that the document is enough. Needs the package `cryptography`.
"""
import hashlib, hmac, json, os, struct, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHUNK = 65536


def hkdf(key, salt, info):
    return HKDF(SHA256(), 32, salt, info).derive(key)


def parse_header(page):
    magic, version, length, zero = struct.unpack(">16sHH4s", page[:24])
    assert magic == b"strongroom.seal\n" and version == 1 and zero == bytes(4)
    assert hashlib.sha256(page[:4032]).digest() == page[4032:4064]
    assert not any(page[24 + length : 4032])
    return json.loads(page[24 : 24 + length])


def wrapping_key(slot, passphrase):
    salt = bytes.fromhex(slot["salt"])
    if slot["kind"] == "scrypt":
        n, r, p = 1 << slot["log_n"], slot["r"], slot["p"]
        assert 10 <= slot["log_n"] and r >= 8 and 128 * n * r <= 4 << 30
        return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, dklen=32, maxmem=128 * r * (n + p + 2))
    assert slot["kind"] == "pbkdf2-sha256" and 600_000 <= slot["iterations"] <= 100_000_000
    return hashlib.pbkdf2_hmac("sha256", passphrase, salt, slot["iterations"], 32)


def unseal(file, passphrase):
    page = file[:4096]
    header = parse_header(page)
    assert file[4096:8192] == page
    assert header["suite"] == "AES-256-GCM-STREAM" and header["chunk_size"] == CHUNK
    archive_id = bytes.fromhex(header["id"])
    slot = header["slots"][0]
    wrapped = bytes.fromhex(slot["wrapped"])
    file_key = AESGCM(wrapping_key(slot, passphrase)).decrypt(bytes(12), wrapped, archive_id)
    mac = hmac.digest(hkdf(file_key, None, b"header"), page[:4064], "sha256")
    assert hmac.compare_digest(mac, page[4064:])

    payload = AESGCM(hkdf(file_key, bytes.fromhex(header["salt"]), b"payload"))
    starts = range(8192, len(file), CHUNK + 16)
    for n, start in enumerate(starts):
        last = n + 1 == len(starts)
        nonce = n.to_bytes(11, "big") + bytes([last])
        yield payload.decrypt(nonce, file[start : start + CHUNK + 16], archive_id)


def check_footer(container):
    """Finds the index from the end, unwraps it and checks its hash."""
    tail = next(tail for tail in (0, 10) if container[len(container) - tail - 128 :].startswith(b"strongroom.foot\n"))
    footer = container[len(container) - tail - 128 :][:128]
    version, algorithm = struct.unpack(">HB", footer[16:19])
    offset, stored, length, _plain, _tar = struct.unpack(">5Q", footer[24:64])
    assert version == 1 and hashlib.sha256(footer[:96]).digest() == footer[96:]
    head, foot = {1: (8, 0), 2: (16, 10), 3: (8, 0), 4: (0, 0)}[algorithm]
    assert offset + stored + head + 128 + foot == len(container)
    at, index = offset, b""
    while len(index) < length:
        if algorithm == 4:
            size = length
        elif algorithm == 2:
            size = struct.unpack("<H", container[at + 14 : at + 16])[0]
        else:
            magic, size = struct.unpack("<4sI", container[at : at + 8])
            assert magic == b"\x57\x2a\x4d\x18"
        index += container[at + head : at + head + size]
        at += head + size + foot
    assert at == offset + stored and hashlib.sha256(index).digest() == footer[64:96]


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as f:
        whole = b"".join(unseal(f.read(), os.fsencode(sys.argv[2])))
    check_footer(whole)
    sys.stdout.buffer.write(whole)
