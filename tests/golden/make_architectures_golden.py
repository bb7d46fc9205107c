#!/usr/bin/env python3
"""Writes architectures/: tiny models of every family and their numbers.

    make_architectures_golden.py [NAME ...]     needs torch and transformers

architectures/NAME/ is a directory as transformers saves it: seeded weights in
fp32, no tokenizer. Where transformers 4 spelled the configuration differently,
config.old.json beside it says the same in those words. NAME.safetensors holds
what transformers computes with it (fp32, eager attention, one row at a time);
which numbers, say the docstrings of make_decoders_golden.py,
make_encoders_golden.py and make_encoder_decoders_golden.py, which are also the
files' metadata.
"""

import pathlib
import sys

import architectures_golden as shared
import make_decoders_golden as decoders
import make_encoder_decoders_golden as encoder_decoders
import make_encoders_golden as encoders

MAKERS = {
    **dict.fromkeys(decoders.DECODERS, decoders.make_decoder),
    **dict.fromkeys(encoders.ENCODERS, encoders.make_encoder),
    **dict.fromkeys(encoder_decoders.ENCODER_DECODERS,
                    encoder_decoders.make_encoder_decoder),
}


def main():
    output = pathlib.Path(__file__).parent / "architectures"
    for name in sys.argv[1:] or MAKERS:
        shared.make(MAKERS[name], name, output)
        print(name, flush=True)


if __name__ == "__main__":
    main()
