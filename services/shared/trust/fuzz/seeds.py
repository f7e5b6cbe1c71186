"""Writes the corpora to begin from: every envelope and payload of the suite's vectors.

    python3 seeds.py && cargo +nightly fuzz run envelope
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent / "tests/vectors/vectors.json"
# The first byte of an input says what the others are; see `fuzzing/bodies.rs`.
REQUEST, ASSIGNMENT = 0, 5


def main():
    vectors = json.loads(VECTORS.read_text())
    for target in ("scanner", "envelope"):
        corpus = HERE / "corpus" / target
        corpus.mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(vectors["valid"] + vectors["invalid"]):
            envelope = bytes.fromhex(case["envelope"])
            mode = REQUEST if case["kind"] == "request" else ASSIGNMENT
            content = envelope[1:] if target == "scanner" else bytes([mode]) + envelope
            (corpus / f"vector-{number:03}").write_bytes(content)


if __name__ == "__main__":
    main()
