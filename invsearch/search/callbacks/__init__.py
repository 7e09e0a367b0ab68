"""Who follows a search: TensorBoard, MLflow, Weights & Biases, or a class of one's own."""

from invsearch.search.callbacks.callback import SearchCallback, SearchPlan
from invsearch.search.callbacks.followers import Followers, followers_of

__all__ = ["Followers", "SearchCallback", "SearchPlan", "followers_of"]
