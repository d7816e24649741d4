"""Which labelled images are there, and which classes cannot be used: for `cog check-data`."""

from __future__ import annotations

from cog.datasets.check.listing import Listed, Part
from cog.datasets.check.report import Finding
from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.labelled.find import find_labelled
from cog.datasets.labelled.labelled import short_classes, with_classes
from cog.images.image_list import every_image
from cog.recipe import Recipe


def list_labelled(named: Named, options: DatasetOptions, recipe: Recipe) -> Listed:
    """List a dataset of labelled images, and the classes that a run would refuse.

    Raises:
        CogError: no such source, or nothing labelled in it.
    """
    labelled = find_labelled(named, options)
    findings = []
    for name, why in short_classes(labelled, recipe).items():
        remark = labelled.train.remarks.get(name)
        kind = "short" if labelled.train.paths.get(name) else "missing"
        kind = "misplaced" if remark and remark.misplaced else kind
        findings.append(Finding(named.name, name, "", kind, why))
    parts, notes = [], [f"{named.name}: {note}" for note in labelled.notes]
    for listing, split in zip(labelled.parts, ("train", "test"), strict=False):
        dataset = named.name if labelled.test is None else f"{named.name}-{split}"
        images = every_image(with_classes(listing, labelled.classes), split)
        parts.append(Part(dataset, len(labelled.classes), images))
        for name, faults in listing.broken.items():
            findings += [
                Finding(dataset, name, path, "broken", why) for path, why in faults.items()
            ]
        notes += [f"{dataset}: {note}" for note in listing.notes]
    return Listed(tuple(parts), tuple(findings), tuple(notes))
