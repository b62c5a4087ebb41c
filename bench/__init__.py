"""What is measured against the bars. One module for each subject, whose `figures` returns what it measured."""
