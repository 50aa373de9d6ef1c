"""How the examples save their pictures."""


def save_picture(name, draw, columns=2):
    """Let `draw` fill that many matplotlib axes, and save them as a file; without matplotlib, say what is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nno picture: pip install matplotlib")
        return
    figure = Figure(figsize=(5 * columns, 4.5), layout="constrained")
    draw(*figure.subplots(1, columns, squeeze=False)[0])
    figure.savefig(name, dpi=120)
    print(f"\npicture: {name}")
