# SPDX-License-Identifier: BSD-3-Clause
"""Order of the gallery by question, and the style of its figures."""

from sphinx_gallery.sorting import FileNameSortKey

SECTIONS = {
    "tables": [
        "plot_impute_frame.py",
        "plot_survey.py",
        "plot_sensors.py",
        "plot_uncertainty.py",
        "plot_impute_table.py",
        "plot_multiple_imputation.py",
        "plot_digits.py",
    ],
    "ratings": [
        "plot_recommend.py",
        "plot_features.py",
        "plot_row_normalization.py",
        "plot_course.py",
    ],
    "clusters": ["plot_clusters.py", "plot_choose_k.py", "plot_outliers.py"],
    "scale": ["plot_stream_ratings.py", "plot_dask.py", "plot_own_family.py"],
}


class GalleryOrder(FileNameSortKey):
    """Sort the examples of a section as `SECTIONS` lists them."""

    def __call__(self, filename):
        return [name for names in SECTIONS.values() for name in names].index(filename)


def set_style(gallery_conf, fname):
    """Set font sizes that can be read on a phone, in figures of a width of 5 inches."""
    import matplotlib

    matplotlib.rcParams.update(
        {"font.size": 11, "axes.titlesize": "medium", "figure.titlesize": "medium"}
    )
