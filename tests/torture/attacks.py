"""Every attack there is, by its name."""

from __future__ import annotations

from tests.torture.cluster import CLUSTER
from tests.torture.damaged_files import DAMAGED_FILES
from tests.torture.damaged_images import DAMAGED_IMAGES
from tests.torture.environments import ODD_ENVIRONMENTS
from tests.torture.harness import Attack
from tests.torture.object_storage import OBJECT_STORAGE
from tests.torture.store_machine import STORE_MACHINE
from tests.torture.strikes import FAILING, KILLS
from tests.torture.together import TOGETHER

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        KILLS, FAILING, DAMAGED_FILES, DAMAGED_IMAGES, TOGETHER, ODD_ENVIRONMENTS, STORE_MACHINE,
        OBJECT_STORAGE, CLUSTER,
    )
}  # fmt: skip
