//! Training and using an intent classifier: the functions of templates/chatbot/workflow.yaml.
