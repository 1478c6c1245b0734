"""What an order costs: discounts, coupons, shipping, tax and rounding.

Nothing in here knows Lambda or AWS; `app.py` does. Amounts are `Decimal`s in the currency of the
country that the order goes to, and whole multiples of its smallest unit wherever they are shown.
"""
