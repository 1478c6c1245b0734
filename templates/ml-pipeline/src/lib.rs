//! Reducing, learning and testing: the functions of templates/ml-pipeline/workflow.yaml.
