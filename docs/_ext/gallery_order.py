# SPDX-License-Identifier: BSD-3-Clause
"""Order of the gallery: introduction, ratings, tables, large data."""

from sphinx_gallery.sorting import FileNameSortKey

ORDER = [
    "plot_digits.py",
    "plot_kmeans_and_em.py",
    "plot_course.py",
    "plot_recommend.py",
    "plot_row_normalization.py",
    "plot_choose_k.py",
    "plot_features.py",
    "plot_hybrid_features.py",
    "plot_impute_frame.py",
    "plot_impute_table.py",
    "plot_survey.py",
    "plot_sensors.py",
    "plot_multiple_imputation.py",
    "plot_own_family.py",
    "plot_stream_ratings.py",
    "plot_dask.py",
]


class GalleryOrder(FileNameSortKey):
    """Sort examples as `ORDER` lists them."""

    def __call__(self, filename):
        return ORDER.index(filename)
