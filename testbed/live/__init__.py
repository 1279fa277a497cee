"""A page that shows a run, or a meter, as it goes: a process of its own that reads what is durable."""
