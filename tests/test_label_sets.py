"""Label sets: which classes a name or a list stands for, and what native labels become in them."""

from __future__ import annotations

import pytest
from drawn_views import make_view
from messages import says

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.labels import parse_label_set
from fer_bench.tasks.task import check_classes

NAMES = ("Angry", "disgust", "fear", "happy", "sad", "surprised", "neutral", "other")


def test_what_a_data_set_declares_of_its_labels_counts_and_not_their_spelling():
    meant = {"happy": "fear", "smug": "happiness", "sad": ""}
    labels, classes = [0, 1, 2, 3, 0, 1], ("happy", "smug", "sad", "angry")
    view = make_view(labels, classes=classes, expressions=meant)
    assert view.mapping == {name: name for name in classes}
    with pytest.raises(FerBenchError, match="no image of 'sadness'"):
        make_view(labels, classes=classes, expressions=meant, labels_as="basic-6")
    full = ("happy", "smug", "sad", "surprise", "disgust", "anger", "gloom")
    view = make_view(
        [0, 1, 2, 3, 4, 5, 6], classes=full, expressions={**meant, "gloom": "sadness"}, labels_as="basic-6"
    )
    assert view.mapping["happy"] == "fear"
    assert view.mapping["smug"] == "happiness"
    assert view.mapping["sad"] is None
    assert view.dropped == {"sad": 1}
    assert [view.classes[label] for label in view.labels] == [
        *("fear", "happiness", "surprise", "disgust", "anger", "sadness")
    ]


def test_labels_are_mapped_by_name_and_what_is_dropped_is_counted():
    view = make_view([0, 1, 2, 3, 4, 5, 6, 7, 7], classes=NAMES, labels_as="basic-7")
    assert [view.classes[label] for label in view.labels] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip
    assert view.dropped == {"other": 2}
    assert "Angry -> anger" in view.describe_labels()
    assert view.describe_labels().endswith("drops other (2 images).")
    assert view.identity()["labels"]["map"]["Angry"] == "anger"
    assert view.identity() != make_view([0, 1, 2, 3, 4, 5, 6, 7, 7], classes=NAMES).identity()
    limited = make_view([7, 0, 1, 2, 3, 4, 5, 6, 0], classes=NAMES, labels_as="basic-6", limit=6)
    assert limited.rows.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_class_without_images_is_refused_with_the_set_that_fits():
    with pytest.raises(FerBenchError) as caught:
        make_view(list(range(8)), classes=NAMES, labels_as="basic-8")
    assert says(str(caught.value), "'contempt'", "'basic-8'")
    assert says(str(caught.value), "--labels", "basic-7", "basic-6", "native")


def test_data_sets_meet_only_in_a_common_label_set():
    first, second = (
        make_view(list(range(8)), classes=NAMES),
        make_view(list(range(7)), classes=NAMES[:7], name="others"),
    )
    with pytest.raises(FerBenchError, match="Take --labels basic-7 or basic-6"):
        check_classes([first, second])
    check_classes([make_view(list(range(8)), classes=NAMES, labels_as="basic-6"),
                   make_view(list(range(7)), classes=NAMES[:7], labels_as="basic-6")])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("native", "native"),
        (" basic-6 ", "basic-6"),
        ("happy,sad,surprise,neutral", "neutral,happiness,sadness,surprise"),
        ("Neutrality , SURPRISED,joy, sadness", "neutral,happiness,sadness,surprise"),
        ("anger,fear,disgust,happy,sad,surprise", "basic-6"),
        ("zest,sad,Bored", "sadness,bored,zest"),
        ("Ge\u0301ne\u0301,sad", "sadness,g\u00e9n\u00e9"),
    ],
)
def test_order_case_and_spelling_of_a_label_set_do_not_count(text, name):
    assert parse_label_set(text) == name
    assert parse_label_set(name) == name
    assert RunConfig(labels=text).labels == name


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("basic7", ("'basic7'", "'basic-7'")),
        ("happy", ("'happy'", "two")),
        ("happy,joy,,basic-7,sad", ("'basic-7'", "empty", "'happy' and 'joy'")),
        (["happy", 3], ("labels", "3")),
        ([], ("''",)),
    ],
)
def test_what_is_no_label_set_is_named(value, parts):
    with pytest.raises(FerBenchError) as caught:
        RunConfig.build(None, {"labels": value})
    assert says(str(caught.value), *parts)


def test_classes_that_are_named_take_their_images_and_no_others():
    name = RunConfig.build(None, {"labels": ["Other", "happy", "ANGRY"]}).labels
    view = make_view([0, 1, 2, 3, 4, 5, 6, 7, 7], classes=NAMES, labels_as=name)
    assert [view.classes[label] for label in view.labels] == ["anger", "happiness", "other", "other"]
    assert view.rows.tolist() == [0, 3, 7, 8]
    assert view.dropped == {"disgust": 1, "fear": 1, "sad": 1, "surprised": 1, "neutral": 1}
    again = make_view([0, 1, 2, 3, 4, 5, 6, 7, 7], classes=NAMES, labels_as=parse_label_set("anger,other,joy"))
    assert again.identity() == view.identity()
    with pytest.raises(FerBenchError) as caught:
        make_view([0, 3, 7], classes=NAMES, labels_as=parse_label_set("other,fear,contemt"))
    assert says(str(caught.value), "'fear', 'contemt'", "--labels happiness,anger,other or native")


def test_data_sets_meet_in_the_classes_that_they_have_in_common():
    first = make_view([0, 1, 2, 3], classes=("joy", "sad", "bored", "fear"))
    second = make_view([0, 1, 2], classes=("Bored", "happy", "anger"), name="others")
    with pytest.raises(FerBenchError, match="Take --labels happiness,bored"):
        check_classes([first, second])
    third = make_view([0, 1], classes=("anger", "disgust"), name="apart")
    with pytest.raises(FerBenchError, match="fewer than two"):
        check_classes([first, third])


def test_labels_that_mean_the_same_are_named_once_with_what_joins_them():
    classes = ("Anger", "angry", "happy", "joy", "Bored", "bored", "sad")
    labels = list(range(7))
    message = make_view(labels, classes=classes).describe_labels()
    assert says(message, "'happy' and 'joy'", "'Anger' and 'angry'", "'Bored' and 'bored'")
    assert says(message, "'--labels happiness,sadness,anger,bored'")
    joined = make_view(labels, classes=classes, labels_as="happiness,sadness,anger,bored")
    assert [joined.classes[label] for label in joined.labels] == [
        *("anger", "anger", "happiness", "happiness", "bored", "bored", "sadness")
    ]
    assert not says(joined.describe_labels(), "mean the same")
    assert make_view(labels, classes=("a", "b", "c", "d", "e", "f", "g")).describe_labels() == ""
    declared = {"smile": "happiness", "joy": ""}
    assert (
        make_view([0, 1, 2], classes=("smile", "joy", "happy"), expressions=declared).describe_labels().count("'smile'")
        == 1
    )
    assert "--labels" not in make_view([0, 1], classes=("a, b", "A, B")).describe_labels()
