"""What metrics are fitted with: boosted trees, a linear SVM, the reference's random draws."""
