"""A camera walking through a room."""

import math
from dataclasses import replace
from random import Random

from netadapt.depth.data.rooms.scene import Scene


def moved(scene: Scene, step: int) -> Scene:
    """Return ``scene`` with its camera ``step`` frames later on a steady walk.

    The walk is drawn from the scene's seed. From frame to frame the camera moves 5 to 15 cm and
    turns by up to a degree, as in a hand-held video.
    """
    if step == 0:
        return scene
    rng = Random(f"walk {scene.seed}")
    camera, (x, y, z) = scene.camera, scene.camera.position
    heading = camera.yaw + rng.uniform(-0.6, 0.6)
    pace = rng.choice((-1, 1)) * rng.uniform(0.05, 0.15)
    along_x, along_y, up = pace * math.cos(heading), pace * math.sin(heading), rng.gauss(0, 0.01)
    yaw, pitch, roll = (math.radians(rng.uniform(-most, most)) for most in (1.0, 0.5, 0.3))
    return replace(
        scene,
        seed=scene.seed + (step % 3 << 40),  # other noise in the picture
        camera=replace(
            camera,
            position=(x + step * along_x, y + step * along_y, z + step * up),
            yaw=camera.yaw + step * yaw,
            pitch=camera.pitch + step * pitch,
            roll=camera.roll + step * roll,
        ),
    )
