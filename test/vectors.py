#!/usr/bin/python3
"""burn_note's formats, computed apart from its C code.

    test/vectors.py            recomputes test/vectors.txt; prints ok and not ok lines
    test/vectors.py --write    writes test/vectors.txt from the cases below
    test/vectors.py --open     opens a live note; prints its bytes, or exits 1
    test/vectors.py --derive   prints receipt_token, note_id and, given an outcome, seal

The last two read `name = value` lines, as in vectors.txt, from standard input.
--open takes token, database, created_at, sealed and fuse: the 44 bytes of
burn_note.fuse as they lie in the heap page, in hex; and passphrase, its UTF-8 in NFC, in hex,
where the note has one. --derive takes token and,
for the seal, outcome, created_at, closed_at and client_ip.

Written from the formats that src/token.h, src/seal.h and src/fuse.h state, not from their
C; the reasons are in docs/architecture.md. XChaCha20-Poly1305 is libsodium's here too, through
python3-nacl. Argon2id is libgcrypt's, written apart from libsodium's (which, like
libargon2, descends from Argon2's reference code). Everything else is Python's own.
"""

import ctypes
import re
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from ipaddress import ip_interface
from pathlib import Path
from uuid import UUID

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as aead_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt as aead_encrypt,
)
from nacl.exceptions import CryptoError

VECTORS = Path(__file__).with_name("vectors.txt")

HEAD = """\
# Test vectors for burn_note's formats, version 1. Written by test/vectors.py --write;
# checked by it and by test/vectors.c. src/token.h and src/seal.h state the formats.
#
# A block is one note's life, from given values (<) to derived ones (>). What is not
# said to be a number or text is bytes in hex.
#
#   case              < text: what the block is there for
#   expires           < number: milliseconds since 1970-01-01 00:00 UTC
#   shard             < number: the server that made the token
#   secret            < 32 bytes
#   token             > text
#   check             > the token's 3 check bytes
#   rkey              > 32 bytes: what the receipt token has for a secret
#   receipt_token     > text
#   note_id           > text: a UUID
#   database          < number: pg_database.oid
#   created_at        < number: microseconds since 2000-01-01 00:00 UTC
#   attempts_allowed  < number
#   flags             < number: 0 for text (in UTF-8), 1 for bytes, with a passphrase 2 more
#   half              < 32 bytes: the half of the key that lies in the fuse
#   passphrase        < 1 byte or more, in some blocks: its UTF-8 in NFC
#   salt              > 16 bytes, as passphrase
#   passphrase_hash   > 32 bytes, as passphrase: Argon2id 1.3, 2 passes, 64 MiB, 1 lane
#   note              < 0 bytes or more
#   key               > 32 bytes
#   sealed            > header, ciphertext, tag (the nonce is 24 zero bytes)
#   forged_length     < number, in some blocks
#   forged            > sealed, had the length in front of the note been forged_length:
#                       it authenticates and must not be opened
#   outcome           < text: r read, v revoked, l locked, w withheld
#   closed_at         < number: as created_at
#   client_ip         < text: address/mask length, or none
#   seal              > 16 bytes: the receipt's seal
#
# In the last block, padded_of_N is how many bytes the length in front of a note of
# N bytes, the note, and the zeros behind it take together.
"""

FIELDS = re.findall(r"^#   (\w+) +[<>]", HEAD, re.MULTILINE)


def hash_of(size, label, data):
    """The first size bytes of BLAKE2b-512(label || data)."""
    assert len(label) == 16
    return blake2b(label + data).digest()[:size]


def integer(value, size):
    """A number as size bytes, big-endian; a negative one in two's complement."""
    return (int(value) % (1 << 8 * size)).to_bytes(size, "big")


def check_bytes(body):
    """The 3 bytes behind the 39 of a token or receipt token."""
    return hash_of(3, b"burn_note chk v1", body)


def print_token(prefix, body):
    """The 60 characters of a token ("bn1_") or a receipt token ("br1_")."""
    return prefix + urlsafe_b64encode(body + check_bytes(body)).decode()


def parse_token(text):
    """The 39 bytes of a token."""
    if not re.fullmatch(r"bn1_[A-Za-z0-9_-]{56}", text):
        raise ValueError("not a token")
    binary = urlsafe_b64decode(text[4:])
    if binary[39:] != check_bytes(binary[:39]):
        raise ValueError("the token's check bytes are wrong")
    return binary[:39]


def receipt_body(body):
    """The receipt token's 39 bytes, from the token's."""
    return body[:7] + hash_of(32, b"burn_note rct v1", body)


def note_id(receipt):
    """The note's id, from the receipt token's 39 bytes: a UUID of version 8."""
    free = int.from_bytes(hash_of(64, b"burn_note nid v1", receipt), "big") >> 512 - 74
    expires = int.from_bytes(receipt[:6], "big")
    return UUID(int=expires << 80 | 8 << 76 | free >> 62 << 64 | 2 << 62 | free % (1 << 62))


def padded_bytes(note_bytes):
    """128, or the Padmé length: Nikitin et al., PoPETs 2019, section 4."""
    length = 4 + note_bytes
    if length <= 128:
        return 128
    exponent = length.bit_length() - 1
    step = 1 << exponent - exponent.bit_length()
    return -(-length // step) * step


def passphrase_salt(body):
    """The 16 bytes of salt that a token's 39 give."""
    return hash_of(16, b"burn_note slt v1", body)


def argon2id(passphrase, salt):
    """The 32 bytes of Argon2id 1.3 with 2 passes, 64 MiB and 1 lane, by libgcrypt."""
    gcrypt = ctypes.CDLL("libgcrypt.so.20")
    gcrypt.gcry_check_version.restype = ctypes.c_char_p
    gcrypt.gcry_check_version(None)  # initializes the library
    kdf_argon2, variant_id, size = 64, 2, ctypes.c_size_t
    tag_passes_kib_lanes = (ctypes.c_ulong * 4)(32, 2, 64 * 1024, 1)
    handle = ctypes.c_void_p()
    result = ctypes.create_string_buffer(32)
    failed = gcrypt.gcry_kdf_open(
        ctypes.byref(handle), kdf_argon2, variant_id, tag_passes_kib_lanes, 4,
        passphrase, size(len(passphrase)), salt, size(len(salt)), None, size(0), None, size(0),
    )
    if not failed:
        failed = gcrypt.gcry_kdf_compute(handle, None)
        failed = failed or gcrypt.gcry_kdf_final(handle, size(32), result)
        gcrypt.gcry_kdf_close(handle)
    if failed:
        raise OSError(f"libgcrypt's Argon2id failed with {failed}")
    return result.raw


def passphrase_hash(given, body):
    """What the passphrase of text fields adds to a note's key: nothing if there is none."""
    if "passphrase" not in given:
        return b""
    return argon2id(bytes.fromhex(given["passphrase"]), passphrase_salt(body))


def note_key(secret, header, half, hashed):
    """The 32 bytes that seal one note; hashed is its passphrase_hash()."""
    return hash_of(32, b"burn_note key v1", secret + header + half + hashed)


def bound_to(database, identity, created_at, header, attempts_allowed):
    """The associated data of a sealed note, 33 bytes."""
    return (
        integer(database, 4)
        + identity.bytes
        + integer(created_at, 8)
        + header
        + integer(attempts_allowed, 1)
    )


def open_note(live):
    """The bytes of a note in a live row; live holds --open's fields as text."""
    body = parse_token(live["token"])
    fuse = bytes.fromhex(live["fuse"])
    sealed = bytes.fromhex(live["sealed"])
    header, version, state, attempts_allowed = sealed[:4], fuse[0], fuse[1], fuse[2]
    if len(fuse) != 44 or version != 0x5A or state != ord("s"):
        raise ValueError("the fuse is not live")
    if header[:1] + header[2:] != b"\1\0\0" or header[1] > 3:
        raise ValueError("the header is unknown")
    if (header[1] & 2 != 0) != ("passphrase" in live):
        raise ValueError("a passphrase is missing, or there is none")
    identity = note_id(receipt_body(body))
    aad = bound_to(live["database"], identity, live["created_at"], header, attempts_allowed)
    key = note_key(body[7:], header, fuse[12:], passphrase_hash(live, body))
    opened = aead_decrypt(sealed[4:], aad, bytes(24), key)
    length = int.from_bytes(opened[:4], "big")
    if len(opened) != padded_bytes(length) or any(opened[4 + length :]):
        raise ValueError("the padding is wrong")
    return opened[4 : 4 + length]


def address_bytes(client_ip):
    """family 1 || mask 1 || address 16, from text."""
    if client_ip == "none":
        return bytes(18)
    ip = ip_interface(client_ip)
    return bytes([ip.version, ip.network.prefixlen]) + ip.packed.ljust(16, b"\0")


def receipt_seal(receipt, closed):
    """A receipt's 16 bytes; closed holds its fields as text."""
    return hash_of(
        16,
        b"burn_note rcp v1",
        receipt[7:]
        + note_id(receipt).bytes
        + closed["outcome"].encode()
        + integer(closed["created_at"], 8)
        + integer(closed["closed_at"], 8)
        + address_bytes(closed["client_ip"]),
    )


def derive(given):
    """What --derive prints: text fields."""
    receipt = receipt_body(parse_token(given["token"]))
    derived = {"receipt_token": print_token("br1_", receipt), "note_id": str(note_id(receipt))}
    if "outcome" in given:
        derived["seal"] = receipt_seal(receipt, given).hex()
    return derived


def complete(block):
    """A block with what is derived in it computed anew; block and result hold text."""
    if "expires" not in block:
        lengths = {name: padded_bytes(int(name[10:])) for name in block if name != "case"}
        return {"case": block["case"]} | {name: str(n) for name, n in lengths.items()}

    secret, half, note = (bytes.fromhex(block[name]) for name in ("secret", "half", "note"))
    body = integer(block["expires"], 6) + integer(block["shard"], 1) + secret
    receipt = receipt_body(body)
    header = b"\1" + integer(block["flags"], 1) + b"\0\0"
    hashed = passphrase_hash(block, body)
    key = note_key(secret, header, half, hashed)
    aad = bound_to(
        block["database"], note_id(receipt), block["created_at"], header, block["attempts_allowed"]
    )

    def seal(length):
        padded = (integer(length, 4) + note).ljust(padded_bytes(len(note)), b"\0")
        return (header + aead_encrypt(padded, aad, bytes(24), key)).hex()

    derived = {
        "token": print_token("bn1_", body),
        "check": check_bytes(body).hex(),
        "rkey": receipt[7:].hex(),
        "receipt_token": print_token("br1_", receipt),
        "note_id": str(note_id(receipt)),
        "key": key.hex(),
        "sealed": seal(len(note)),
        "seal": receipt_seal(receipt, block).hex(),
    }
    if "passphrase" in block:
        derived["salt"] = passphrase_salt(body).hex()
        derived["passphrase_hash"] = hashed.hex()
    if "forged_length" in block:
        derived["forged"] = seal(block["forged_length"])
    merged = block | derived
    return {name: merged[name] for name in FIELDS if name in merged}


def given(case, number, **fields):
    """One block's given values as text: fields, and for the rest an ordinary note."""
    drawn = blake2b(case.encode()).digest()
    created_at = 820540800000000 + number * 86400123457
    ordinary = {
        "case": case,
        "expires": 1767225600000 + number * 86400123,
        "shard": 0,
        "secret": drawn[:32].hex(),
        "database": 16384 + number,
        "created_at": created_at,
        "attempts_allowed": 0,
        "flags": 0,
        "half": drawn[32:].hex(),
        "note": b"burn after reading".hex(),
        "outcome": "r",
        "closed_at": created_at + 3600000001,
        "client_ip": "none",
    }
    return {name: str(value) for name, value in (ordinary | fields).items()}


def cases():
    """The given values of every block."""
    text = "Grüße, 火 and 🔥"
    phrase = "Schlüssel 鍵 🔑"
    counting = bytes(i % 251 for i in range(1000)).hex()
    notes = {
        "a note of no bytes": {"note": ""},
        "a note of 1 byte, read from an IPv4 address": {
            "note": "00", "flags": 1, "client_ip": "192.0.2.7/32"},
        "a note of 124 bytes, the longest in 128": {
            "note": b"a".hex() * 124, "shard": 255, "outcome": "v",
            "client_ip": "198.51.100.0/24"},
        "a note of 125 bytes, the shortest of Padmé's": {
            "note": b"b".hex() * 125, "outcome": "l", "attempts_allowed": 5,
            "client_ip": "2001:db8::7/128"},
        "1000 bytes that are no text": {
            "note": counting, "flags": 1, "shard": 1, "outcome": "w",
            "client_ip": "2001:db8:a::/48"},
        f"text: {text}": {"note": text.encode().hex(), "client_ip": "198.51.100.7/24"},
        "the least of everything": {
            "expires": 0, "secret": "00" * 32, "half": "00" * 32, "database": 0,
            "created_at": 0, "closed_at": 0, "note": "", "client_ip": "0.0.0.0/0"},
        "the most of everything": {
            "expires": (1 << 48) - 1, "shard": 255, "secret": "ff" * 32, "half": "ff" * 32,
            "database": (1 << 32) - 1, "created_at": (1 << 63) - 1, "closed_at": (1 << 63) - 1,
            "attempts_allowed": 255, "note": "ff", "flags": 1,
            "client_ip": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
        "every byte of the integers in its place": {
            "expires": 0x010203040506, "shard": 0x07, "database": 0x08090A0B,
            "created_at": 0x0102030405060708, "closed_at": 0x1112131415161718,
            "attempts_allowed": 0x0C, "client_ip": "::/0"},
        "times before 2000 and an expiry of 1 ms": {
            "expires": 1, "created_at": -1, "closed_at": -946684800000000},
        "a forged length, one more than fits": {"note": "", "forged_length": 125},
        "a forged length, the largest": {"note": "", "forged_length": (1 << 32) - 1},
        "a forged length, of a note that would take less": {
            "note": b"c".hex() * 125, "forged_length": 124},
        "text with a passphrase": {
            "flags": 2, "attempts_allowed": 5, "passphrase": b"correct horse".hex()},
        f"bytes with a passphrase that is not ASCII: {phrase}": {
            "flags": 3, "attempts_allowed": 1, "passphrase": phrase.encode().hex(),
            "note": counting, "outcome": "l", "client_ip": "192.0.2.7/32"},
        "a passphrase of 1 byte, with the most attempts": {
            "flags": 2, "attempts_allowed": 100, "passphrase": "20", "note": "",
            "outcome": "v"},
        "a passphrase longer than a block of BLAKE2b": {
            "flags": 3, "attempts_allowed": 5, "passphrase": b"battery staple ".hex() * 20},
    }
    lengths = {0, 1, 2, 1000, 5000, 65536, 1000000} | {
        (1 << power) - 4 + beside for power in range(7, 29) for beside in (-1, 0, 1)}
    yield from (given(case, number, **fields) for number, (case, fields) in enumerate(notes.items()))
    yield {"case": "padded lengths"} | {f"padded_of_{n}": "" for n in sorted(lengths)}


def print_block(block):
    """name = value lines, with nothing behind the = of an empty value."""
    return "".join(f"{name} = {value}".rstrip() + "\n" for name, value in block.items())


def read_blocks(text):
    """The blocks of a text as dicts of text; leaves out what begins with #."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for block in re.split(r"\n{2,}", lines.strip("\n")):
        fields = (line.partition("=") for line in block.splitlines())
        yield {name.strip(): value.strip() for name, _, value in fields}


def render():
    """All of vectors.txt."""
    return "\n".join([HEAD, *(print_block(complete(block)) for block in cases())])


def check():
    """Recomputes vectors.txt, and says of each block whether it agrees."""
    published = VECTORS.read_text(encoding="utf-8")
    failed = 0

    def report(good, name):
        nonlocal failed
        failed += not good
        print("ok" if good else "not ok", "-", "vectors.py:", name)

    for block in read_blocks(published):
        computed = complete(block)
        report(computed == block, block["case"])
        for name in sorted(computed.items() ^ block.items()):
            print("#", *name)
    report(published == render(), "vectors.txt is what --write writes")
    return failed != 0


def main(arguments):
    """Does what the module's docstring says; returns the exit code."""
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdin.reconfigure(encoding="utf-8")
    try:
        match arguments:
            case []:
                return check()
            case ["--write"]:
                VECTORS.write_text(render(), encoding="utf-8")
            case ["--open"]:
                sys.stdout.buffer.write(open_note(next(read_blocks(sys.stdin.read()))))
            case ["--derive"]:
                print(print_block(derive(next(read_blocks(sys.stdin.read())))), end="")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (ValueError, CryptoError) as error:
        print(f"vectors.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
