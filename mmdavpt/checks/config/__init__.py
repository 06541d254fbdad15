"""Whether a config can be run, and as it says; no data are read.

- ``config_file`` reads it, ``config_options`` sets what the command line says,
  ``config_check`` runs all checks.
- Each key: ``key_check`` looks at all of them, by the types of
  ``type_places``, the signatures of ``config_keys``, what no signature tells
  (``known_keys``, ``free_dicts``), and the kinds of ``value_kinds``.
- Each part, built or tried: ``part_check``, ``build_check``,
  ``model_check`` (``arch_check``), ``preprocessor_check``,
  ``optimizer_check`` (``optimizer_numbers``).
- What must agree: ``loop_check``, ``loader_check``, ``schedule_check``,
  ``class_check``, ``group_check``, ``environment_check``,
  ``resumed_schedule``.
"""
