"""``python -m mmtool.cli``."""

from mmtool.cli.main import main

main()
