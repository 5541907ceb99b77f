"""A plausible year of one organisation, the same in every clone, told through the front door.

`world` makes the people and the catalogue, `lives` what happened to tickets as news for
tickets/ingest.py, `answers` what people said, `seen` and `decided` what those who run the services
made of it; `manage.py load_demo` puts them in. No figure is typed in: everything on the pages is
measured from these events.
"""

SEED = 2026
