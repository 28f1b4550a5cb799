"""Amazon Bedrock through Converse, signed without an SDK."""
