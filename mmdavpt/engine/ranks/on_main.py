from mmdavpt.ranks import run_on_rank_0 as on_main  # noqa: F401
