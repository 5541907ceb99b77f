"""The administration of the lower rooms, found by Django's autodiscovery: one module a room.

It stands on the roof because it shows the rooms below through the administration's frame
(portal/admin_site.py), which needs sign-in and organisations to stand already.
"""

from portal.admin import audit, catalogue, people, tickets

__all__ = ["audit", "catalogue", "people", "tickets"]
