"""The figures of the page, as plain plotly data."""
