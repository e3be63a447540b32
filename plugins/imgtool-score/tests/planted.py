"""Prompts of 40 to 80 words, descriptions that say the same in other words, and swapped things."""

from __future__ import annotations

SCENES: tuple[tuple[str, str], ...] = (
    (
        "A weathered wooden fishing boat painted blue and white lies on a pebble beach at low "
        "tide. An old man in a yellow raincoat mends a green net beside it, sitting on an upturned "
        "crate. Two gulls stand on the bow. Grey clouds gather over the harbour wall in the "
        "background, and a red lighthouse shines faintly in the mist.",
        "On stones left bare by the sea rests an aged timber vessel used for catching fish, its "
        "planks coloured white and blue. Next to it an elderly man wearing a bright yellow "
        "waterproof sits on a box and repairs a green net. A pair of seagulls perch at the front. "
        "Behind them, under a dull cloudy sky, are a harbour wall and a hazy red lighthouse.",
    ),
    (
        "A busy night market in a narrow street, lit by paper lanterns in red and gold. A young "
        "woman with short black hair fries dumplings in a large wok while steam rises around her. "
        "Customers queue with umbrellas, the wet pavement reflects neon signs, and a small brown "
        "dog sleeps under the stall next to a stack of bamboo baskets.",
        "Crowded food stalls fill a tight lane after dark, under glowing crimson and golden paper "
        "lanterns. A girl whose dark hair is cut short cooks dumplings in a big steaming wok. "
        "People wait in line holding umbrellas; coloured neon mirrors itself in the rain on the "
        "ground. Beneath the counter a little brown dog naps near piled bamboo baskets.",
    ),
    (
        "A quiet library with tall oak shelves full of leather-bound books. Morning light falls "
        "through an arched window onto a long reading table with green glass lamps. A student in a "
        "grey sweater writes notes in a black notebook, a cup of coffee at her elbow. A rolling "
        "ladder leans against the shelves and dust floats in the sunbeams.",
        "The picture shows a calm reading room lined with high oaken bookcases holding old "
        "volumes in leather. Early sunshine comes in by a rounded window and lights a lengthy desk "
        "with lamps of green glass. There a female student dressed in a gray pullover takes notes, "
        "coffee beside her. A ladder on wheels rests at the books; specks of dust hang in the air.",
    ),
    (
        "An astronaut in a white suit rides a galloping chestnut horse across a red desert on "
        "Mars. Behind them rises a huge volcano with a smoking crater. Two small moons hang in a "
        "pale orange sky. Dust swirls around the hooves, and the golden visor of the helmet "
        "reflects the distant sun and the rocks ahead.",
        "A person wearing a white space suit gallops on a reddish-brown horse over the rusty sands "
        "of the planet Mars. A giant smoking volcano towers in the background, and a pair of tiny "
        "moons can be seen in the faint orange heavens. Hooves throw up clouds of dust. Sun and "
        "stones mirror themselves in the gilded visor.",
    ),
    (
        "A cosy kitchen in an old farmhouse. A grandmother with silver hair rolls out dough on a "
        "floured table while a little boy in a striped shirt cuts star-shaped cookies. Copper pans "
        "hang above a cast iron stove, a ginger cat watches from the window sill, and a bowl of "
        "red apples stands beside a jug of milk.",
        "In a rustic farm kitchen an older woman whose hair is silver flattens dough on a table "
        "dusted with flour. Next to her a small boy wearing stripes stamps out cookies in the form "
        "of stars. Pans of copper dangle over an iron stove. An orange cat looks on from the sill, "
        "and there are red apples in a bowl and milk in a jug.",
    ),
    (
        "A modern glass skyscraper under construction, seen from the street below. Three workers "
        "in orange vests and white helmets stand on a steel beam high above the city. A yellow "
        "tower crane lifts a bundle of pipes against a clear blue sky. Traffic moves on the "
        "avenue, and a flock of pigeons circles between the buildings.",
        "Looking up from street level one sees a half-built high-rise of glass. On a girder far "
        "over town stand three builders with orange safety vests and white hard hats. A crane, "
        "yellow, hoists pipes into a cloudless blue sky. Cars drive along the avenue, and pigeons "
        "wheel in the gap from one tower to the next.",
    ),
    (
        "A coral reef full of life in clear turquoise water. A green sea turtle glides over purple "
        "fan corals, followed by a school of small yellow fish. A diver with a camera and red fins "
        "films from a distance. Sunbeams break through the surface and dance on the white sand, "
        "where a starfish rests beside a blue clam.",
        "Under transparent turquoise sea lies a lively reef. Above violet fan-shaped corals swims "
        "a green turtle with a shoal of little yellow fish behind. Farther off, someone diving "
        "with red flippers records it on camera. Rays of sun come down from the surface to pale "
        "sand on which a sea star lies near a clam that is blue.",
    ),
    (
        "A snowy mountain village at dusk with warm lights in the windows. A horse-drawn sleigh "
        "carries a couple wrapped in a tartan blanket along the main street. Children build a "
        "snowman with a carrot nose and a black hat in front of a stone church. Tall fir trees "
        "and steep peaks rise behind the steep roofs.",
        "Evening falls on a hamlet in the mountains, covered in snow, its windows glowing warmly. "
        "Down the principal street a horse pulls a sleigh in which two people sit under a checked "
        "blanket. Before a church of stone kids make a snowman that has a dark hat and a carrot "
        "for a nose. Firs and sharp summits stand behind the sloping roofs.",
    ),
)

SWAPS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("timber vessel used for catching fish", "rusty tractor"), ("seagulls", "rabbits"),
     ("lighthouse", "windmill")),
    (("dumplings", "pancakes on a griddle"), ("dog", "parrot"), ("umbrellas", "skateboards")),
    (("bookcases holding old volumes in leather", "cages holding canaries"),
     ("female student", "policeman"), ("ladder on wheels", "grand piano")),
    (("horse", "bicycle"), ("volcano", "cathedral"), ("moons", "balloons")),
    (("dough", "a carpet"), ("cat", "penguin"), ("apples", "fishes")),
    (("builders", "ballerinas"), ("crane", "giraffe"), ("pigeons", "butterflies")),
    (("turtle", "submarine"), ("fish", "bats"), ("corals", "pumpkins")),
    (("sleigh", "tank"), ("snowman", "pyramid"), ("church", "supermarket")),
)  # fmt: skip


def swapped(index: int, count: int) -> str:
    """The description of a scene with its first `count` things replaced."""
    text = SCENES[index][1]
    for old, new in SWAPS[index][:count]:
        assert old in text
        text = text.replace(old, new)
    return text
