"""Commands: parse, call one pipeline function, print, exit code."""
