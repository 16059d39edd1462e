# SPDX-License-Identifier: BSD-3-Clause
"""Draw the picture of README and of the first page: docs/_static/overview.png.

python docs/overview.py
"""

from io import BytesIO
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from sklearn_gmmcf import MixtureImputer, MixtureRecommender

WIDTHS = {"age": 0.45, "glucose": 0.62, "HbA1c": 0.58, "ward": 0.62}
ROW = 0.36  # inches, like all lengths
MISSING, FILLED, BLUE = "#e8c99b", "#E69F00", "#0072B2"


def simulate_clinic(n=1000):
    """A table of patients in which blood tests and other entries are missing."""
    rng = np.random.default_rng(0)
    diabetic = rng.random(n) < 0.35
    age = (rng.normal(48, 14, n) + 10 * diabetic).clip(18, 90).round()
    glucose = rng.lognormal(1.6 + 0.3 * diabetic + 0.004 * (age - 48), 0.12)
    others = np.where(rng.random(n) < 0.3, "heart", "general")
    table = pd.DataFrame(
        {
            "age": age,
            "glucose": glucose.round(1),
            "HbA1c": rng.normal(3.2 + 0.42 * glucose, 0.2).round(1),
            "ward": np.where(diabetic & (rng.random(n) < 0.9), "diabetes", others),
        }
    )
    hidden = rng.random(table.shape) < 0.1
    hidden[:, 1:3] |= rng.random((n, 1)) < 0.3  # no blood was drawn
    return table.mask(hidden)


def simulate_ratings(n=1000):
    """Ratings of films by users who like genres differently."""
    films = {
        "space": ["Far Orbit", "Moons", "Ion", "Drift"],
        "love": ["Letters", "Her Summer", "Us", "Rain"],
        "horror": ["Thirteen", "Moth", "Hush", "The Well"],
        "nature": ["Reef", "Ice", "River", "Salt"],
    }
    titles = np.concatenate(list(films.values()))
    rng = np.random.default_rng(0)
    usual = np.array([[1.2, -0.8, 0.8, 0.0], [-0.8, 1.2, -1.0, 0.5], [0, 0.2, -0.8, 1]])
    likes = usual[rng.integers(3, size=n)] + rng.normal(0, 0.35, (n, 4))
    quality = rng.normal(0, 0.3, len(titles))
    stars = 2.8 + quality + np.repeat(likes, 4, axis=1)
    stars = (stars + rng.normal(0, 0.8, stars.shape)).clip(1, 5).round()
    users, items = np.nonzero(rng.random(stars.shape) < 0.4)
    return pd.DataFrame(
        {"user": users, "item": titles[items], "rating": stars[users, items]}
    )


def draw_cells(ax, left, top, texts, colors):
    """Draw a table of texts with its header; colors are of the cells."""
    for j, (name, width) in enumerate(WIDTHS.items()):
        ax.text(left + width / 2, top + 0.1, name, ha="center", weight="bold")
        for i in range(len(texts)):
            corner = left, top - (i + 1) * ROW
            ax.add_patch(
                plt.Rectangle(corner, width, ROW, fc=colors[i][j], ec="0.8", lw=0.6)
            )
            ax.text(
                left + width / 2,
                corner[1] + ROW / 2,
                texts[i][j],
                ha="center",
                va="center",
                linespacing=1.0,
            )
        left += width


def draw_table(ax, top):
    """Draw rows of a table before and after."""
    table = simulate_clinic()
    imputer = MixtureImputer(random_state=0)
    imputer.fit(table)
    completed, std = imputer.complete(table, return_std=True)
    sure = imputer.complete_proba(table)["ward"].max(axis=1)
    missing = table.isna()
    patterns = [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    chosen = [
        np.flatnonzero((missing.to_numpy() == pattern).all(axis=1))[1]
        for pattern in patterns
    ]
    before, after, shown, shades = [], [], [], []
    for i in chosen:
        lines, fills = [], []
        for name in WIDTHS:
            value = completed[name].iloc[i]
            text = value if name == "ward" else f"{value:.{0 if name == 'age' else 1}f}"
            if missing[name].iloc[i] and name == "ward":
                lines.append(f"{text}\n{sure[i]:.0%}")
                fills.append(1 - sure[i])
            elif missing[name].iloc[i]:
                digits = 0 if name == "age" else 1
                lines.append(f"{text}\n±{std[name].iloc[i]:.{digits}f}")
                fills.append(std[name].iloc[i] / table[name].std())
            else:
                lines.append(text)
                fills.append(None)
        after.append(lines)
        before.append(
            [
                "" if fill is not None else text
                for text, fill in zip(lines, fills, strict=True)
            ]
        )
        shown.append(["white" if fill is None else MISSING for fill in fills])
        shades.append(
            ["white" if fill is None else (FILLED, min(fill, 1)) for fill in fills]
        )
    draw_cells(ax, 0.1, top, before, shown)
    draw_cells(ax, 2.63, top, after, shades)
    ax.annotate(
        "",
        (2.6, top - 2.5 * ROW),
        (2.4, top - 2.5 * ROW),
        arrowprops={"arrowstyle": "-|>", "lw": 1.5, "color": "0.3"},
    )


def draw_list(ax, top):
    """Draw the ratings of a visitor, and the films for the visitor."""
    recommender = MixtureRecommender(3, n_factors=8).fit(simulate_ratings())
    visit = pd.DataFrame(
        {
            "user": "you",
            "item": ["Far Orbit", "Thirteen", "Letters"],
            "rating": [5, 4, 2],
        }
    )
    listed = recommender.recommend(
        ratings=visit, n_items=3, rank_by="value", threshold=3.5
    )
    ax.text(0.1, top + 0.1, "you rated", weight="bold")
    ax.text(2.63, top + 0.1, "you may like", weight="bold")
    ax.text(3.55, top + 0.1, "chance of 4 or 5", color="0.35")
    for i, row in enumerate(visit.itertuples()):
        y = top - (i + 0.5) * ROW
        ax.text(0.1, y, row.item, va="center")
        ax.text(1.05, y, "★" * row.rating, va="center", color=FILLED)
    for i, row in enumerate(listed.itertuples()):
        y = top - (i + 0.5) * ROW
        reasons = recommender.explain("you", row.item, ratings=visit)
        rated = reasons[reasons["part"] == "observed"]
        best = rated.loc[rated["contribution"].idxmax()]
        reason = f"your {best['rating']:.0f} stars for {best['source']}"
        ax.text(2.63, y + 0.075, row.item, va="center")
        ax.text(2.63, y - 0.085, reason, va="center", color="0.35")
        ax.barh(y + 0.075, 0.75 * row.chance, 0.13, 3.55, color=BLUE)
        ax.text(3.6 + 0.75 * row.chance, y + 0.075, f"{row.chance:.0%}", va="center")
    ax.annotate(
        "",
        (2.6, top - 1.5 * ROW),
        (2.4, top - 1.5 * ROW),
        arrowprops={"arrowstyle": "-|>", "lw": 1.5, "color": "0.3"},
    )


def main():
    """Draw both halves, one above the other."""
    plt.rcParams["font.size"] = 8.8
    figure = plt.figure(figsize=(5, 4.75))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 5), ylim=(0, 4.75), aspect="equal")
    ax.set_axis_off()
    title = {"fontsize": 11, "weight": "bold", "color": BLUE}
    ax.text(0.1, 4.5, "Fill in tables, and know how sure each value is", **title)
    draw_table(ax, 4.1)
    ax.text(2.63, 2.12, "the darker, the less sure", color="0.35")
    ax.text(0.1, 1.72, "Recommend, with chances and reasons", **title)
    draw_list(ax, 1.32)
    path = Path(__file__).parent / "_static" / "overview.png"
    buffer = BytesIO()
    figure.savefig(buffer, dpi=240)
    Image.open(buffer).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
