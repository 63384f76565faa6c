"""An imputer and a backbone for gtimm, as an example of a package of plug-ins."""
