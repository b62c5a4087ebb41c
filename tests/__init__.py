"""The tests of the template: what it renders is inspected, installed, checked and updated."""
