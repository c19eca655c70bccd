import doctest
from pathlib import Path

from branchsearch import catalog
from branchsearch.jobs.spec import RecipeSpec

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "training.md"


def test_the_examples_of_the_page_run():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_every_balancing_and_every_choice_of_a_recipe_is_on_the_page():
    text = PAGE.read_text()
    for name in catalog.names("balancing"):
        assert f"| `{name}` |" in text
    said_elsewhere = {"epochs", "batch_size", "learning_rate", "weight_decay", "warm_up"}
    by_their_values = {"optimizer", "schedule", "shared_gradient", "precision", "balancing"}
    for name in RecipeSpec.model_fields.keys() - said_elsewhere - by_their_values:
        assert f"`{name}" in text
