"""The Python blocks of the README run, in order, as one session."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_python_blocks_run():
    text = README.read_text()
    blocks = [
        block
        for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
        if "import torch" not in block
    ]
    session = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), session)
    assert len(blocks) >= 4
    gradients = (session["d_params"]["conv"]["kernel"][...], session["d_mean"])
    for gradient in (*gradients, session["d_var"]):
        assert float(abs(gradient).min()) > 0, "a gradient does not arrive everywhere"
