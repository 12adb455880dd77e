"""A firm's file: colours that can be read, places that stay inside."""

import pytest
from pydantic import ValidationError

from gateway.domain import colour
from gateway.domain.firm import Category, HouseStyle, MailStyle, Source, safe_part


def source(**more) -> Source:
    return Source.model_validate(
        {"id": "a", "title": "A", "kind": "local", "categories": [{"name": "X"}], **more}
    )


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000000", "#ffffff", 21), ("#777777", "#ffffff", 4.48), ("#ffffff", "#ffffff", 1)],
)
def test_contrast_as_wcag_computes_it(one, other, ratio):
    assert colour.contrast(one, other) == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize("bad", ["#777777", "red", "#fff", "#12345g"])
def test_white_must_be_readable_on_the_main_colour(bad):
    with pytest.raises(ValidationError):
        HouseStyle(primary=bad, accent="#000000")


@pytest.mark.parametrize(
    "bad", ["a@x..example", "a@x.example.", "a..b@x.example", "ünï@x.example"]
)
def test_a_sender_that_no_letter_can_have(bad):
    with pytest.raises(ValidationError, match="no e-mail address"):
        MailStyle(sender=bad)


@pytest.mark.parametrize("bad", ["naam", "{naam}", "{number.__class__}", "{name}", ""])
def test_a_place_holds_the_number_and_nothing_strange(bad):
    with pytest.raises(ValidationError):
        source(place=bad)


def test_where_a_klant_stands():
    found = source(place="klanten/{number} {name}", places={"9": "elders/negen"})
    assert found.place_of("1", "De Korenaar") == "klanten/1 De Korenaar"
    assert found.place_of("9", "../x") == "elders/negen"
    assert found.place_of("1", "a/../../b") is None
    assert found.place_of("..", "x") is None


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a\\b", "a\0", "a\nb", " . "])
def test_parts_that_are_not_safe(bad):
    assert not safe_part(bad)


@pytest.mark.parametrize("bad", ["/a", "a/", "a//b", "../a", "a/../b", "a\\b", "."])
def test_folders_are_relative(bad):
    with pytest.raises(ValidationError):
        Category.model_validate({"name": "X", "folder": bad})


def test_the_deepest_category_holds_a_document():
    found = source(
        categories=[{"name": "Alles", "folder": ""}, {"name": "Loon", "folder": "Loon/2025"}]
    )
    assert found.category_of(("Loon", "2025", "mei")).name.nl == "Loon"
    assert found.category_of(("Loon", "20250")).name.nl == "Alles"
    assert found.category_of(()).name.nl == "Alles"
