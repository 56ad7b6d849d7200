"""Configuration of Sphinx; ``make docs`` builds the pages."""

from importlib.metadata import version as version_of

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "eventsim"
author = "the eventsim authors"
version = release = version_of("eventsim-snn")
html_title = f"eventsim {release}"

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "figures", "tutorials", "gallery/**.ipynb"]
templates_path = ["_templates"]

# Single backticks are names, as in the docstrings.  A name that is none is an error, but for those
# that have no page: of other libraries, of private modules, and what only the inside knows.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"(concurrent|jax|numpy|scipy|torch)\..+"),
    ("py:obj", r"(eventsim\.model|gradients\._sweeps)\..+"),
    ("py:obj", r"CHARGE|CudaResult|DeviceRun|Edges|EndState|Rows"),
]

# Markdown: links to headings, equations between dollars.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_footnote_sort = False

# A class has one page, with all its members.
autosummary_generate = True
autodoc_typehints = "none"  # types stand in the docstrings
numpydoc_show_class_members = False

# The tutorials are run while the pages are built; one that fails ends the build.
sphinx_gallery_conf = {
    "capture_repr": (),
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "default_thumb_file": None,
    "download_all_examples": False,
    "only_warn_on_example_error": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}
plot_formats = [("png", 144)]
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme_options = {
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False


def in_packages(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Find a public name that is written without its package."""
    if node.get("reftype") != "obj":
        return None
    domain, target = env.domains["py"], node["reftarget"]
    names = [f"{package}.{target}" for package in ("eventsim", "gradients")]
    found = [
        domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
        for name in names
    ]
    return next(filter(None, found), None)


def setup(app: Sphinx) -> None:
    """Look for names in the packages."""
    app.connect("missing-reference", in_packages)
