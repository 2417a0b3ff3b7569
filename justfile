# Everything CI does.
check:
    bash .ci/run

test:
    uv run pytest

demo:
    uv run jumelle demo

format:
    uv run ruff format . && uv run ruff check --fix .
