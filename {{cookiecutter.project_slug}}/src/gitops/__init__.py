"""The factory: it reviews, releases and deploys a model, and never imports it (template updates replace it)."""
