-- One row: how many rows these visitors have; asked by ConsentStore before it erases them. Size: at most 10,000 visitors.
select count() from consents where visitor in {visitors:Array(UInt32)}
