"""To be written."""
def page(request): return {}
urlpatterns=[]
