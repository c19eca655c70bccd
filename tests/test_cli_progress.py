from io import StringIO

from rich.console import Console

from branchsearch.cli.progress import Shown, say_step
from branchsearch.jobs.progress import STEPS, Standing


def on_a_pipe() -> tuple[Console, StringIO]:
    said = StringIO()
    return Console(file=said, force_terminal=False), said


def test_every_step_is_numbered():
    console, said = on_a_pipe()
    say_step("plan", console)
    with Shown({}, console) as progress:
        for step in STEPS[1:]:
            progress.enter(step)
    numbers = [f"step {n}/{len(STEPS)}: {step}" for n, step in enumerate(STEPS, start=1)]
    assert said.getvalue().splitlines() == numbers


def test_where_there_is_no_terminal_trainings_are_not_told():
    console, said = on_a_pipe()
    with Shown({"search": 60.0}, console) as progress:
        progress.enter("search")
        progress.stand(Standing(total=4, done=0, running=2))
        progress.stand(Standing(total=4, done=1, running=2, best=4.0))
    assert said.getvalue().splitlines() == [f"step 4/{len(STEPS)}: search"]
