from io import StringIO

from rich.console import Console

from branchsearch.cli.progress import Shown, say_step
from branchsearch.jobs.progress import STEPS, Ended, Standing


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


def test_a_trial_that_ends_has_a_line_where_there_is_no_terminal():
    console, said = on_a_pipe()
    earlier, first = Ended(0, "complete", 4.0), Ended(1, "stopped", -1.25)
    with Shown({"search": 60.0}, console) as progress:
        progress.enter("search")
        progress.stand(Standing(total=4, done=1, best=4.0, latest=earlier))  # of an earlier run
        progress.stand(Standing(total=4, done=1, running=1, best=4.0, latest=earlier))
        progress.stand(Standing(total=4, done=1, stopped=1, best=4.0, latest=first))
        failed = Standing(total=4, done=1, stopped=1, failed=1, latest=Ended(2, "failed", None))
        progress.stand(failed)
        progress.stand(failed)
    _, *trials = said.getvalue().splitlines()
    assert len(trials) == 2
    assert trials[0].startswith("trial 1 stopped early, Δ -1.25 % · 2/4 trained · ")
    assert "best Δ +4.00 %" in trials[0]
    assert trials[1].startswith("trial 2 failed · 2/4 trained · ")


def test_steps_without_trials_say_how_many_are_trained():
    console, said = on_a_pipe()
    with Shown({"baselines": 60.0}, console) as progress:
        progress.enter("baselines")
        progress.stand(Standing(total=4, done=0, running=2))
        progress.stand(Standing(total=4, done=1, running=2))
    assert said.getvalue().splitlines()[-1].startswith("1/4 trained · 2 running · ")
