"""Scripts that authors run to make data files of the package; builds do not run them."""
