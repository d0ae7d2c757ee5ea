"""Each state that the library knows is one that the pages have words for."""

import re
from pathlib import Path

from burn_note.states import STATES

SOURCE = Path(__file__).parents[2] / "src"


def test_every_outcome_has_its_letter_and_its_words():
    letters = dict(re.findall(r"(OUTCOME_\w+) = '(\w)'", (SOURCE / "fuse.h").read_text()))
    states = re.findall(r'\{(\w+), 0x\w+, "(\w+)"\}', (SOURCE / "fuse.c").read_text())
    outcomes = {name: letters[state] for state, name in states if state in letters}
    assert len(outcomes) >= 5
    assert {name: state.letter for name, state in STATES.items() if state.letter} == outcomes
    assert all(state.ending for name, state in STATES.items() if name != "sealed")
